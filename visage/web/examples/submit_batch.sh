batch=$(curl -H 'Authorization: Bearer TOKEN' -F files=@photo.jpg -F method=mosaic http://localhost:8080/batches | grep -o '"id": *"[^"]*"' | cut -d '"' -f 4)
curl -H 'Authorization: Bearer TOKEN' -N "http://localhost:8080/batches/$batch/events"
curl -H 'Authorization: Bearer TOKEN' "http://localhost:8080/batches/$batch/result.zip" -o result.zip
curl -H 'Authorization: Bearer TOKEN' -X DELETE "http://localhost:8080/batches/$batch"
