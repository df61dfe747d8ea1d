curl -H 'Authorization: Bearer TOKEN' -F image=@photo.jpg 'http://localhost:8080/analyze?min_confidence=0.7' -o faces.jpg
