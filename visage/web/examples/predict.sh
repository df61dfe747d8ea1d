curl -H 'Authorization: Bearer TOKEN' -F image=@photo.jpg 'http://localhost:8080/predict?annotated=false'
